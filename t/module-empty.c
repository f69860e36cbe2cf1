/* A shared object that is no module. */
int xo_t_nothing(void);

int xo_t_nothing(void)
{
    return 0;
}
